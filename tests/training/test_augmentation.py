import numpy as np
import torch

from netvlad.training.augmentation import FeatureWindows, ImageChanges


def test_windows_are_parts_of_their_image():
    features = torch.arange(4 * 15 * 20, dtype=torch.float32).reshape(4, 1, 15, 20)
    augment = FeatureWindows(np.random.default_rng(0))
    places, mirrored = set(), set()
    for _ in range(40):
        augment.next_batch()
        windows = augment(features)
        assert windows.shape[2] in range(12, 16)
        assert windows.shape[3] in range(13, 21)
        flipped = bool(windows[0, 0, 0, 0] > windows[0, 0, 0, -1])
        mirrored.add(flipped)
        plain = windows.flip(3) if flipped else windows
        for image, window in zip(features, plain, strict=True):
            top, left = divmod(int(window[0, 0, 0] - image[0, 0, 0]), 20)
            h, w = window.shape[1:]
            assert torch.equal(window, image[:, top : top + h, left : left + w])
            places.add((top, left))
    assert mirrored == {True, False}
    assert len(places) > 20


def test_the_same_generator_gives_the_same_windows():
    features = torch.randn(3, 2, 7, 9)
    one, other = (FeatureWindows(np.random.default_rng(3)) for _ in range(2))
    for _ in range(5):
        one.next_batch()
        other.next_batch()
        assert torch.equal(one(features), other(features))


def test_a_single_cell_stays():
    augment = FeatureWindows(np.random.default_rng(0))
    augment.next_batch()
    assert augment(torch.ones(2, 3, 1, 1)).shape == (2, 3, 1, 1)


def test_images_change_in_light_colour_and_view_and_stay_images():
    images = torch.randint(0, 256, (5, 3, 20, 30), dtype=torch.uint8)
    one, other = (ImageChanges(np.random.default_rng(3))(images) for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == images.shape
    assert one.dtype == torch.float32
    assert one.min() >= 0
    assert one.max() <= 255
    assert all((one[i] - images[i]).abs().mean() > 5 for i in range(5))
    # A uniform grey image has no contrast, colour or structure to change: only its brightness.
    grey = ImageChanges(np.random.default_rng(0))(
        torch.full((8, 3, 16, 16), 100, dtype=torch.uint8)
    )
    levels = grey.mean((1, 2, 3))
    assert grey.sub(levels[:, None, None, None]).abs().max() < 1e-3
    assert 70 <= levels.min() < 95
    assert 105 < levels.max() <= 130
