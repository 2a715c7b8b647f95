"""Where the model runs: one train step on a CPU, a GPU, several processes, or all the chips of a TPU.

Two classes with the same verbs, so that nothing else names a backend:

    Native   torch's own devices: cpu, cuda, and tpu where the package torch_tpu brings it. Alone, or one of several processes under
             `torchrun`: each takes its share of the rows of every batch, and gradients are added up.
    Xla      torch_xla, SPMD: one process a host, the program written for the whole batch; XLA splits it over all devices by rows.
             `sharded`: parameters and their moments are split too (ZeRO), else each device holds all.

A loss is a sum divided by a count over the *whole* batch (`pretraining/objective.py`), known to every process before the forward pass.
So gradients are added up, never averaged, and one device, two processes and four XLA devices take the same step though their
shares hold different numbers of masked tokens.

DistributedDataParallel is not used: it averages, and it wants every parameter in every backward pass, which a step of three regimes does not
give. `Native.sum_gradients` is its plain form: all gradients end to end in one array, one all-reduce a step.

    >>> device = Native("cpu")
    >>> device.count, device.is_main, device.compiles()
    (1, True, 0)
"""
import contextlib
import importlib.metadata
import os

import numpy as np
import torch
import torch.distributed as dist
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

DEVICES = ("auto", "cpu", "cuda", "tpu", "xla")
COLLECTIVES = {"cpu": "gloo", "cuda": "nccl", "tpu": "tpu_dist"}       # what several processes talk through


def open_device(name, sharded=False, recompute=False):
    """Open "auto", "cpu", "cuda", "tpu" or "xla" for training; "auto" takes CUDA where there is one. To be closed at the end.

    Under `torchrun` the process joins the others. sharded: split parameters over the devices (xla). recompute: keep no activations of the
    blocks, compute them again in the backward pass. Raises ValueError for a device that is not there, or that cannot do it.
    """
    if name == "xla":
        return Xla(sharded, recompute)
    device = pick_device(name)
    if sharded:
        raise ValueError(f"device {device.type}: parameters are sharded by torch_xla alone; use --device xla or leave out --shard")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        if device.type != "cpu":
            device = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
            torch.get_device_module(device).set_device(device)
        dist.init_process_group(COLLECTIVES[device.type])
    return Native(device, recompute)


def pick_device(name):
    """Turn "auto", "cpu", "cuda" or "tpu" into a torch.device; "auto" takes CUDA where there is one.

    Raises ValueError for another name, or for a device that is not there.
    """
    if name not in DEVICES:
        raise ValueError(f"device {name!r}: expected {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")
    if name == "xla":
        raise ValueError("device xla: only minivbert.train runs on it; use --device auto, cpu or cuda")
    if name == "tpu":
        try:
            import torch_tpu  # noqa: F401  brings the device
        except ImportError as error:
            raise ValueError(f"device tpu: torch_tpu cannot be imported ({_first_line(error)}); use --device xla or cpu") from error
        return torch.device("tpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: this torch sees no CUDA device; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def has_bf16(device):
    """Tell whether a device multiplies bfloat16 matrices in hardware; elsewhere autocast to it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "tpu" or device.type == "cpu" and probe is not None and probe()


def autocast(device, precision, fast=None):
    """Give the context of a forward pass: nothing for "float32", bfloat16 autocast for "bf16", "auto": bf16 where it is fast.

    Weights, gradients and optimizer stay in float32 either way. fast: whether bf16 is, if `has_bf16` cannot know. Raises ValueError for
    another name.
    """
    if precision not in ("float32", "bf16", "auto"):
        raise ValueError(f"precision {precision!r}: expected float32, bf16 or auto")
    if precision == "bf16" or precision == "auto" and (has_bf16(device) if fast is None else fast):
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def check_rows(rows, count, device):
    """Raise ValueError unless every regime's rows divide by the number of devices."""
    odd = [r for r in rows if r % count]
    if odd:
        raise ValueError(f"device {device}: {odd[0]} rows a batch do not divide by {count} devices; choose --rows that are multiples of {count}")


class Native:
    """One of torch's own devices; with others, if this process is one of several."""

    adamw = {"fused": True}

    def __init__(self, device, recompute=False):
        """device: torch.device or its name; a process group that is open already is taken part in."""
        self.device, self.recompute = torch.device(device), recompute
        self.rank, self.count = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.is_main = self.rank == 0

    def prepare(self, model):
        """Move a model here; give it the way to recompute its blocks."""
        if self.recompute:
            model.encoder.recompute = lambda block, *given: checkpoint(block, *given, use_reentrant=False)
        return model.to(self.device)

    def settle(self, model, optimizers):
        """Do what must be done between loading and the first step: here nothing."""

    def check_rows(self, rows):
        """Raise ValueError unless the rows of all batches divide by the number of processes."""
        check_rows(rows, self.count, self.device.type)

    def put(self, batch):
        """Move this process's share of the rows of a batch here."""
        return batch.map(lambda x: x.tensor_split(self.count)[self.rank].to(self.device))

    def program(self):
        """Give the context of work that is compiled as one: here none is."""
        return contextlib.nullcontext()

    def autocast(self, precision):
        """Give the context of a forward pass, see `autocast`."""
        return autocast(self.device, precision)

    def sum_gradients(self, model):
        """Add up the gradients of all processes, in place."""
        if self.count > 1:
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            flat = self._all_reduce(torch.cat([g.flatten() for g in grads]))
            for grad, part in zip(grads, flat.split([g.numel() for g in grads])):
                grad.copy_(part.view_as(grad))

    def sum(self, x):
        """Add up an array of all processes; return it on the CPU."""
        return (self._all_reduce(x) if self.count > 1 else x).cpu()

    def _all_reduce(self, x):
        try:
            dist.all_reduce(x)
        except RuntimeError as error:
            raise ConnectionError(f"process {self.rank} of {self.count} lost the others ({_first_line(error)}); the last checkpoint is whole: "
                                  "start again with --resume") from error
        return x

    def seed(self, seed):
        """Seed dropout; each process draws its own. Initial weights have generators of their own."""
        torch.manual_seed(seed + 1_000_003 * self.rank)

    def random_state(self):
        """Give the state of dropout's generators as one uint8 array: (n,), or (processes, n)."""
        state = torch.get_rng_state()
        if self.device.type != "cpu":
            state = torch.cat([state, torch.get_device_module(self.device).get_rng_state(self.device)])
        if self.count == 1:
            return state
        states = [torch.empty_like(state, device=self.device) for _ in range(self.count)]
        dist.all_gather(states, state.to(self.device))
        return torch.stack(states).cpu()

    def set_random_state(self, state):
        """Go on from `random_state`; one of other or of more or fewer devices is passed over, for it has no meaning here."""
        own = self.random_state()
        if state.shape != own.shape:
            return
        state = state[self.rank] if self.count > 1 else state
        n = len(torch.get_rng_state())
        torch.set_rng_state(state[:n].clone())
        if len(state) > n:
            torch.get_device_module(self.device).set_rng_state(state[n:].clone(), self.device)

    def compiles(self):
        """Count the programs compiled so far: none."""
        return 0

    def about(self):
        """Tell what summary.json should say of the devices: nothing of a single one."""
        return {"processes": self.count} if self.count > 1 else {}

    def close(self):
        """Leave the other processes."""
        if self.count > 1:
            dist.destroy_process_group()


class XlaFunctions(TorchFunctionMode):
    """Compute in another way what torch_xla does not do as a CPU does.

    For Muon, in bfloat16: torch_xla sends an addmm with factors through the CPU, and adds up a norm in bfloat16, 10 % off at 96 x 32
    numbers. Here both are computed in float32 and rounded once, as a CPU does.
    Division by a number, as losses are by their counts: two equal numbers would be one input, and the program another one than for two
    that differ. As a tensor each is an input of its own.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.div and isinstance(args[1], float):
            return args[0] / torch.full((1,), args[1], dtype=args[0].dtype).to(args[0].device)[0]      # (1,): a scalar would be a number again
        if func is torch.addmm and kwargs:
            add, left, right = args
            product = kwargs.get("alpha", 1) * (left.float() @ right.float())
            return (kwargs.get("beta", 1) * add.float() + product).to(add.dtype)
        if func is torch.Tensor.norm and args[0].dtype == torch.bfloat16:
            return args[0].float().norm(*args[1:], **kwargs).to(torch.bfloat16)
        return func(*args, **kwargs)


class Xla:
    """All devices that torch_xla sees, of all hosts, as one."""

    adamw = {"capturable": True}         # the step count lives on the device: as a number it would be compiled into the program

    def __init__(self, sharded=False, recompute=False):
        """Open the devices; nothing may have run a backward pass before. Raises ValueError where torch_xla cannot be imported."""
        os.environ.setdefault("XLA_NO_SPECIAL_SCALARS", "1")   # else a 0.0 or 1.0 (rate, count) is a constant, and another program
        try:
            import torch_xla
            import torch_xla.core.xla_model as xm
            import torch_xla.debug.metrics as metrics
            import torch_xla.distributed.spmd as spmd
            import torch_xla.runtime as runtime
            from torch_xla.utils.checkpoint import checkpoint as xla_checkpoint
        except ImportError as error:
            raise ValueError(_why_no_xla(error)) from error
        runtime.use_spmd()
        self.torch_xla, self.xm, self.metrics, self.spmd, self.xla_checkpoint = torch_xla, xm, metrics, spmd, xla_checkpoint
        self.device, self.count, self.recompute = torch_xla.device(), runtime.global_runtime_device_count(), recompute
        self.is_main, self.fast_bf16 = runtime.process_index() == 0, runtime.device_type() == "TPU"
        self.mesh, self.sharded = spmd.Mesh(np.arange(self.count), (self.count,), ("data",)), sharded

    def prepare(self, model):
        """Move a model here; give it the way to recompute its blocks."""
        if self.recompute:
            model.encoder.recompute = lambda block, *given: self.xla_checkpoint(block, *given, use_reentrant=True)
        return model.to(self.device)

    def settle(self, model, optimizers):
        """Create what the optimizers keep and say of every tensor how it is split, of gradients as soon as they are there.

        Whatever appears later, or split in another way, is another program. The state is created by a step without weight decay on gradients of 0, which changes nothing, and is then counted as none.
        """
        for optimizer in optimizers:
            if not optimizer.state:
                decay = [group["weight_decay"] for group in optimizer.param_groups]
                for group in optimizer.param_groups:
                    group["weight_decay"] = 0.0
                    for p in group["params"]:
                        p.grad = torch.zeros_like(p)
                with XlaFunctions():
                    optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                for group, own in zip(optimizer.param_groups, decay):
                    group["weight_decay"] = own
                for state in optimizer.state.values():
                    if "step" in state:
                        state["step"].zero_()
        self.torch_xla.sync(wait=True)
        for tensor in [*model.state_dict(keep_vars=True).values(), *(x for o in optimizers for s in o.state.values() for x in s.values())]:
            self._split(tensor)
        for p in model.parameters():
            if p.requires_grad:
                p.register_post_accumulate_grad_hook(lambda p: self._split(p.grad))
        self.torch_xla.sync()

    def check_rows(self, rows):
        """Raise ValueError unless the rows of all batches divide by the number of devices."""
        check_rows(rows, self.count, "xla")

    def put(self, batch):
        """Move a batch here, its rows split over the devices; where they do not divide, every device takes all."""
        def put(x):
            rows = "data" if len(x) % self.count == 0 else None
            return self.spmd.mark_sharding(x.to(self.device), self.mesh, (rows,) + (None,) * (x.ndim - 1)).global_tensor
        return batch.map(put)

    @contextlib.contextmanager
    def program(self):
        """Give the context of work that is compiled as one program, a hidden read from the host being an error."""
        with self.torch_xla.compile(full_graph=True), XlaFunctions():
            yield

    def autocast(self, precision):
        """Give the context of a forward pass, see `autocast`."""
        return autocast(self.device, precision, self.fast_bf16)

    def sum_gradients(self, model):
        """Do nothing: XLA's program is that of the whole batch, so gradients are summed already."""

    def sum(self, x):
        """Return an array on the CPU; it is the sum over all devices already."""
        return x.cpu()

    def seed(self, seed):
        """Seed dropout."""
        torch.manual_seed(seed)
        self.torch_xla.manual_seed(seed)

    def random_state(self):
        """Give the state of dropout's generator: (8,) uint8."""
        return torch.tensor(list(self.xm.get_rng_state().to_bytes(8, "little")), dtype=torch.uint8)

    def set_random_state(self, state):
        """Go on from `random_state`; one of other devices is passed over, for it has no meaning here."""
        if state.shape == (8,):
            self.xm.set_rng_state(int.from_bytes(bytes(state.tolist()), "little"))

    def compiles(self):
        """Count the programs compiled so far."""
        return self.metrics.counter_value("UncachedCompile") or 0

    def about(self):
        """Tell what summary.json should say of the devices."""
        return {"devices": self.count, "programs": self.compiles(), "fallbacks": sorted(self.metrics.executed_fallback_ops())}

    def close(self):
        """Do nothing: torch_xla closes its devices at exit."""

    def _split(self, tensor):
        """Split a tensor along its first axis that divides, if sharded; else every device holds all of it."""
        axis = next((i for i, n in enumerate(tensor.shape) if n % self.count == 0), None) if self.sharded else None
        self.spmd.mark_sharding(tensor, self.mesh, tuple("data" if i == axis else None for i in range(tensor.ndim)))


def _why_no_xla(error):
    try:
        version = importlib.metadata.version("torch_xla")
    except importlib.metadata.PackageNotFoundError:
        return "device xla: torch_xla is not installed; in an environment of its own: pip install -r requirements-tpu.txt"
    series = ".".join(version.split(".")[:2])
    return (f"device xla: torch_xla {version} works with torch {series} only and this is torch {torch.__version__} ({_first_line(error)}); "
            "in an environment of its own: pip install -r requirements-tpu.txt")


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]
