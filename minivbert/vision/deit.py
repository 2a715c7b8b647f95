"""DeiT: a ViT with one more token, which learns from a teacher instead of from the labels.

Touvron et al. 2021 (arXiv 2012.12877), section 4. The distillation token stands beside the class token, with its own
position and its own head; it goes through the same layers. In training each head has its own target, in
evaluation their logits are averaged.

    hard    1/2 CE(class, y) + 1/2 CE(distillation, argmax teacher)                       equation 3
    soft    (1 - lam) CE(class, y) + lam tau^2 KL(softmax(teacher / tau) || softmax(distillation / tau))   equation 2

The teacher sees the images that the student sees, augmented and mixed as they are.

Axes: as in `vit`; T tokens are class, distillation, patches, in this order; K classes.

Differs from, or not stated in, the paper:
- The text averages the two softmaxes; the authors' code averages the logits, and so do we.
- KL is summed over the classes and averaged over the images, as the equation says; the authors' code divides by the
  number of classes as well, which makes lam mean something else for every data set.

    >>> from minivbert.vision.vit import ViTConfig
    >>> model = DeiT(ViTConfig(image=16, patch=4, channels=1, width=8, layers=2, heads=2, feed_forward=16, classes=10))
    >>> images = torch.rand(3, 1, 16, 16)
    >>> class_BK, distillation_BK = model.train()(images)
    >>> model.eval()(images).shape
    torch.Size([3, 10])
"""

import torch
import torch.nn.functional as F
from torch import nn

from minivbert.vision.vit import INIT_STD, ViT


class DeiT(ViT):
    """A ViT with a distillation token and its head."""

    specials = 2  # class, distillation

    def __init__(self, config, seed=0):
        """Build and initialise. config: `ViTConfig`; seed: of the initial weights."""
        super().__init__(config, seed)
        generator = torch.Generator("cpu").manual_seed(seed + 1)
        self.distillation_token = nn.Parameter(torch.empty(config.width))
        self.distillation_head = nn.Linear(config.width, config.classes)
        nn.init.normal_(self.distillation_token, std=INIT_STD, generator=generator)
        nn.init.normal_(self.distillation_head.weight, std=INIT_STD, generator=generator)
        nn.init.zeros_(self.distillation_head.bias)

    def forward(self, images_BCHW):
        """Classify images (B, C, H, W) float32.

        In training: (class logits (B, K), distillation logits (B, K)); in evaluation their mean (B, K).
        """
        first_BSD = self._specials(images_BCHW)
        class_BK, distillation_BK = self.head(first_BSD[:, 0]), self.distillation_head(first_BSD[:, 1])
        return (class_BK, distillation_BK) if self.training else (class_BK + distillation_BK) / 2

    def special_tokens(self):
        """Stack the class and the distillation token: (2, D)."""
        return torch.stack([self.class_token, self.distillation_token])


def distillation_loss(class_BK, distillation_BK, teacher_BK, targets, kind="hard", tau=3.0, lam=0.1):
    """Give the loss of both heads, a mean over the batch.

    class, distillation, teacher (B, K) float: logits; no gradient reaches the teacher's. targets: labels (B,) int64,
    or soft targets (B, K) float, as Mixup makes them. tau: temperature, lam: weight of KL; of kind "soft" only.
    Raises ValueError for another kind. Source: equations 2 and 3.
    """
    teacher_BK = teacher_BK.detach()
    truth = F.cross_entropy(class_BK, targets)
    if kind == "hard":
        return (truth + F.cross_entropy(distillation_BK, teacher_BK.argmax(1))) / 2
    if kind != "soft":
        raise ValueError(f"kind {kind!r}: expected 'hard' or 'soft'")
    student_BK, wanted_BK = ((x_BK / tau).log_softmax(1) for x_BK in (distillation_BK, teacher_BK))
    divergence = F.kl_div(student_BK, wanted_BK, reduction="batchmean", log_target=True)
    return (1 - lam) * truth + lam * tau**2 * divergence


@torch.no_grad()
def ask_teacher(teacher, images_BCHW):
    """Give the teacher's logits (B, K) in evaluation mode, leaving its mode and its statistics as they were.

    In training mode a teacher with BatchNorm would answer for an image by its batch mates, and drift.
    """
    was_training = teacher.training
    teacher.eval()
    try:
        return teacher(images_BCHW)
    finally:
        teacher.train(was_training)
