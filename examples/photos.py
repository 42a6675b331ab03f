"""Where was this photo taken? ``python photos.py PHOTOS QUERY``: photos with GPS, and another."""

import sys

import netvlad

photos, query = sys.argv[1:]
index = netvlad.PlaceIndex.build(photos)
answer = index.locate(query)
for place in answer.places:
    print(f"{place.score:.3f}  {place.latitude}, {place.longitude}  {place.image}")
if answer.known and answer.position is not None:
    print(f"± {answer.position.error_m:.0f} m, probability {answer.probability:.2f}")
else:
    print("not a place of these photos")
