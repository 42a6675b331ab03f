"""Learning with gradients.

Nothing is imported here: every command wants the settings (``recipes``), only training the loop and
what it brings (Fabric and TensorBoard take seconds to import).
"""
