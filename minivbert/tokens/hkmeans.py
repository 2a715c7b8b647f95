class Tree: pass
def fit(): pass
def exemplars(): pass
