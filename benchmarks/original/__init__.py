"""The way pytorch-NetVlad does it, written anew from a description of what it computes.

None of its code is here (it has no licence). Each file says which of its ways it takes. Where the
description leaves a choice, the faster one is taken.
"""
