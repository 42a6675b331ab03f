"""Convolutional networks cut before their classifier: an image goes in, a feature map comes out."""
