"""Any torch module is a model: ``netvlad evaluate --model own_model.py …``, or as below."""

import sys

from torch import nn

import netvlad


@netvlad.register_model("colours", resize=(224, 224))
def colours() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(7), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())


if __name__ == "__main__":
    model = netvlad.ExternalModel(colours(), name="colours", resize=(224, 224))
    print(netvlad.describe(model, sys.argv[1:]).values.shape)
