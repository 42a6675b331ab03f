"""The original's way computes what ours does: only then are their times worth comparing."""

import h5py
import numpy as np
import pytest
import torch
from benchmarks.layer import layers
from benchmarks.mining_data import made_descriptors, write_hdf5
from benchmarks.original.evaluation import recall, search
from benchmarks.original.images import read, tuple_loader
from benchmarks.original.mining import OriginalMiner, negative_lists
from benchmarks.original.model import like
from benchmarks.original.refresh import DATASET, create_file, refresh
from benchmarks.original.training import batch_loss, build_optimiser, steps
from PIL import Image

from netvlad.compute import Compute
from netvlad.descriptors import describe
from netvlad.models import ModelSpec, build_model
from netvlad.search import search_exact
from netvlad.training.losses import triplet_loss
from netvlad.training.mining import MinedQuery, mine, mining_task
from netvlad.training.recipes import Recipe
from netvlad.types import ImageSet, PlaceDataset


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(ModelSpec(num_clusters=3), weights=None)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 256, (32, 48, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    return ImageSet(root, tuple(f"{number}.png" for number in range(5)))


@pytest.fixture(scope="module")
def split():
    random = np.random.default_rng(4)
    where = [random.uniform(0, 400, (count, 2)) for count in (300, 40)]
    sides = [ImageSet("", ("x",) * len(positions), positions) for positions in where]
    return PlaceDataset("made", "train", *sides)


@pytest.fixture(scope="module")
def values(split):
    return made_descriptors(split.database.joined(split.queries).positions, 64)


class TestLayer:
    def test_gives_what_ours_gives(self):
        pair = layers(num_clusters=7, dim=19)
        maps = torch.randn(3, 19, 5, 4)
        ours, original = (pair[side](maps) for side in ("ours", "original"))
        torch.testing.assert_close(ours, original, atol=1e-5, rtol=0)

    def test_gradients_agree(self):
        torch.manual_seed(1)
        pair = layers(num_clusters=7, dim=19)
        weights = torch.randn(3, 7 * 19)
        gradients = {}
        for side, layer in pair.items():
            torch.manual_seed(2)
            maps = torch.randn(3, 19, 5, 4, requires_grad=True)
            (layer(maps) * weights).sum().backward()
            gradients[side] = [maps.grad, layer.centroids.grad, layer.conv.weight.grad]
        for ours, original in zip(gradients["ours"], gradients["original"], strict=True):
            torch.testing.assert_close(ours, original, atol=1e-5, rtol=1e-4)


class TestImagesAndRefresh:
    def test_pixels_by_hand(self, tmp_path):
        Image.new("RGB", (4, 2), (255, 0, 51)).save(tmp_path / "one.png")
        pixels = read(ImageSet(tmp_path, ("one.png",)), 0)
        assert pixels.shape == (3, 2, 4)
        expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
        np.testing.assert_allclose(pixels[:, 1, 3].numpy(), expected, rtol=1e-6)

    def test_describes_as_our_model_does(self, model, images, tmp_path):
        path = tmp_path / "all.hdf5"
        create_file(path, len(images), model.descriptor_dim)
        refresh(like(model), images, path, batch_size=2, workers=0)
        with h5py.File(path) as file:
            original = file[DATASET][:]
        ours = describe(model, images, compute=Compute(threads=0)).values
        np.testing.assert_allclose(original, ours, atol=1e-5)

    def test_can_begin_in_the_middle(self, model, images, tmp_path):
        path = tmp_path / "part.hdf5"
        create_file(path, len(images), model.descriptor_dim)
        tail = images.subset([3, 4])
        refresh(like(model), tail, path, batch_size=2, workers=0, first_row=3)
        with h5py.File(path) as file:
            rows = file[DATASET][:]
        assert not rows[:3].any()
        np.testing.assert_allclose(np.linalg.norm(rows[3:], axis=1), 1, rtol=1e-5)


class TestMining:
    def miner(self, file, split, task, pool):
        number = len(split.database)
        lists = negative_lists(task.not_negatives, number)
        return OriginalMiner(file[DATASET], number, task.potential_positives, lists, pool=pool)

    def test_finds_what_ours_finds_when_all_negatives_are_looked_at(self, split, values, tmp_path):
        write_hdf5(tmp_path / "all.hdf5", values)
        task = mining_task(split, Recipe(negative_pool=0))
        number = len(split.database)
        queries = np.arange(len(split.queries))
        random = np.random.default_rng(0)
        ours = mine(task, queries, values[number:], values[:number], {}, random)
        with h5py.File(tmp_path / "all.hdf5") as file:
            miner = self.miner(file, split, task, pool=0)
            original = [miner.mine(query, None, random) for query in queries.tolist()]
        found = [one for one in original if one is not None]
        assert [t.query for t in ours.tuples] == [t.query for t in found]
        assert len(found) > 10
        for mined, other in zip(ours.tuples, found, strict=True):
            assert mined.positives.tolist() == other.positives.tolist()
            assert mined.negatives.tolist() == other.negatives.tolist()

    def test_draws_so_many_and_looks_at_kept_ones(self, split, values, tmp_path):
        write_hdf5(tmp_path / "all.hdf5", values)
        task = mining_task(split, Recipe())
        query = int(np.flatnonzero(task.potential_positives.counts() > 0)[0])
        with h5py.File(tmp_path / "all.hdf5") as file:
            everything = self.miner(file, split, task, pool=0)
            few = self.miner(file, split, task, pool=3)
            hardest = everything.mine(query, None, np.random.default_rng(0)).negatives
            found = few.mine(query, hardest, np.random.default_rng(0)).negatives
        assert len(hardest) == 10
        assert found.tolist() == hardest.tolist()

    def test_negatives_are_all_that_is_far(self, split):
        task = mining_task(split, Recipe())
        found = negative_lists(task.not_negatives, len(split.database))
        for query, far in enumerate(found):
            away = np.linalg.norm(split.database.positions - split.queries.positions[query], axis=1)
            assert far.tolist() == np.flatnonzero(away > 25).tolist()


class TestTraining:
    def test_loss_is_ours(self):
        torch.manual_seed(0)
        rows = torch.nn.functional.normalize(torch.randn(9, 8), dim=1)
        # Two tuples: one with three negatives, one with two.
        original = batch_loss([rows[:5], rows[5:]])
        triplets = [[0, 1, 2], [0, 1, 3], [0, 1, 4], [5, 6, 7], [5, 6, 8]]
        ours = triplet_loss(rows, torch.tensor(triplets), margin=0.1)
        torch.testing.assert_close(original, ours, atol=1e-5, rtol=0)

    def test_loss_by_hand(self):
        # ‖q−p‖ = 1 and ‖q−n‖ = 0.5, then 2: the second triplet is 0, and the mean halves the first.
        rows = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.5], [0.0, 2.0]])
        expected = (1 - 0.5 + 0.1**0.5) / 2
        assert batch_loss([rows]).item() == pytest.approx(expected, abs=1e-5)

    def test_a_step_changes_conv5_and_the_layer_alone(self, model, images):
        network = like(model)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        dataset = PlaceDataset("made", "train", images.subset([0, 1, 2, 3]), images.subset([4]))
        tuples = [MinedQuery(0, np.array([1]), np.array([0, 2, 3]))]
        losses = steps(network, build_optimiser(network), dataset, tuples, batch_size=4, workers=0)
        assert len(losses) == 1 and losses[0] > 0
        changed = {
            name for name, value in network.state_dict().items() if not value.equal(before[name])
        }
        conv5 = {f"encoder.{index}.{part}" for index in (24, 26, 28) for part in ("weight", "bias")}
        assert changed <= conv5 | {"pool.centroids", "pool.conv.weight"}
        assert {"encoder.24.weight", "pool.conv.weight"} <= changed

    def test_images_of_a_tuple_in_order(self, images):
        dataset = PlaceDataset("made", "train", images.subset([0, 1, 2, 3]), images.subset([4]))
        tuples = [MinedQuery(0, np.array([1]), np.array([3, 0]))]
        (batch,) = tuple_loader(dataset, tuples, batch_size=4, workers=0)
        expected = [read(images, index) for index in (4, 1, 3, 0)]
        torch.testing.assert_close(batch[0], torch.stack(expected))


class TestEvaluation:
    def test_answers_are_ours(self):
        random = np.random.default_rng(0)
        queries, database = (random.random((n, 16), dtype=np.float32) for n in (7, 60))
        ours = search_exact(queries, database, 20).indices
        assert search(queries, database).tolist() == ours.tolist()

    def test_recall_by_hand(self):
        answers = np.array([[3, 4, 5], [7, 8, 9], [0, 1, 2]])
        positives = [np.array([3]), np.array([9, 20]), np.array([], dtype=np.int64)]
        found = recall(answers, positives)
        assert found[1] == pytest.approx(1 / 3)
        assert found[5] == pytest.approx(2 / 3)
