"""Has the camera been here before? ``python loop_closure.py FRAMES``: a folder of frames."""

import sys
from pathlib import Path

from PIL import Image

import netvlad

index = netvlad.PlaceIndex.in_memory(netvlad.load_model("efficientnet-lite0-avg"))
for second, file in enumerate(sorted(Path(sys.argv[1]).iterdir())):
    frame = Image.open(file)
    # What was seen in the last half minute looks alike because it was just now.
    closure = index.locate(frame, time=second, exclude_last_s=30)
    if closure.known:
        print(f"{file.name} is {closure.places[0].image}, probability {closure.probability:.2f}")
    index.add(frame, time=second, name=file.name)
print(f"{len(index)} frames")
