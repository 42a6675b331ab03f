"""Ways to find local features in a photo and to match those of two photos, for verification."""
