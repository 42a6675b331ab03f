from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from netvlad.compute import Compute
from netvlad.datasets import open_dataset
from netvlad.errors import DataError, ModelError, StorageError
from netvlad.fitting import compute_clusters
from netvlad.models import ModelSpec, build_model
from netvlad.models.checkpoints import model_of, read_checkpoint
from netvlad.training import loop
from netvlad.training.loop import Trainer
from netvlad.training.recipes import Recipe
from netvlad.types import ImageSet, Progress

RECIPE = Recipe(
    epochs=2, cache_refresh_rate=5, batch_size=2, negatives=3, negative_pool=8, lr=1e-2, patience=0
)


@pytest.fixture(scope="module")
def data(tiny_data):
    return open_dataset("csv", tiny_data, "train"), open_dataset("csv", tiny_data, "val")


@pytest.fixture(scope="module")
def clusters(data):
    model = build_model(ModelSpec(arch="efficientnet-lite0"), weights="imagenet")
    return compute_clusters(model, data[0].database, 4, seed=0)


def start(clusters, pooling="netvlad", cut=None):
    torch.manual_seed(0)
    spec = ModelSpec(arch="efficientnet-lite0", pooling=pooling, num_clusters=4, cut=cut)
    model = build_model(spec, weights="imagenet")
    if pooling == "netvlad":
        model.pool.init_from_clusters(
            torch.from_numpy(clusters.centroids), torch.from_numpy(clusters.descriptors)
        )
    return model


def trainer(run, data, clusters, recipe=RECIPE, compute=Compute(threads=0), model=None, **options):
    model = model or start(clusters)
    return Trainer(model, *data, recipe, run, compute=compute, **options)


def weights_of(run, which="latest"):
    return read_checkpoint(run, which).weights


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, data, clusters):
    run = tmp_path_factory.mktemp("whole")
    state = trainer(run, data, clusters).run()
    return run, state


def test_training_changes_the_tail_and_only_the_tail(whole_run, clusters):
    run, state = whole_run
    before = start(clusters).state_dict()
    after = weights_of(run)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert "pool.centroids" in changed
    assert "pool.conv.weight" in changed
    assert all(name.startswith(("encoder.stage4", "encoder.stage5", "pool.")) for name in changed)
    assert [row["epoch"] for row in state.history] == [1, 2]
    assert state.finished


def test_training_makes_the_training_triplets_easier(tmp_path, data, clusters):
    recipe = replace(RECIPE, epochs=6)
    state = trainer(tmp_path, data, clusters, recipe).run()
    losses = [row["loss"] for row in state.history if row["loss"]]
    assert losses[-1] < losses[0]


def run_in_two_parts(folder, data, clusters, stop_at, recipe=RECIPE, model=None, **options):
    class KilledError(Exception):
        pass

    stopped = trainer(folder, data, clusters, recipe, model=model, **options)
    save = stopped._save

    def save_and_die(name, pointers):
        save(name, pointers)
        if name == stop_at:
            raise KilledError

    stopped._save = save_and_die
    with pytest.raises(KilledError):
        stopped.run()
    checkpoint = read_checkpoint(folder)
    resumed = trainer(folder, data, clusters, recipe, model=model_of(checkpoint, folder), **options)
    resumed.resume(checkpoint)
    return resumed.run()


@pytest.mark.parametrize("stop_at", ["e0001-b02", "e0001", "e0002-b01"])
def test_a_stopped_run_ends_with_the_same_weights(tmp_path, data, clusters, whole_run, stop_at):
    state = run_in_two_parts(tmp_path, data, clusters, stop_at)
    whole, whole_state = whole_run
    assert_equal_weights(weights_of(tmp_path), weights_of(whole))
    assert_equal_weights(weights_of(tmp_path, "best"), weights_of(whole, "best"))
    assert (state.best, state.since_best) == (whole_state.best, whole_state.since_best)
    assert [r["loss"] for r in state.history] == [r["loss"] for r in whole_state.history]
    assert {q: n.tolist() for q, n in state.kept.items()} == {
        q: n.tolist() for q, n in whole_state.kept.items()
    }


def test_a_run_on_places_learns_and_goes_on_where_it_was_stopped(tmp_path, data, clusters):
    recipe = replace(RECIPE, loss="mil-nce", views=2, positive_radius_m=25.0, lr=1e-3)
    state = trainer(tmp_path / "whole", data, clusters, recipe).run()
    assert 0 < state.history[-1]["loss"] < state.history[0]["loss"]
    run_in_two_parts(tmp_path / "parts", data, clusters, "e0001-b02", recipe)
    assert_equal_weights(weights_of(tmp_path / "parts"), weights_of(tmp_path / "whole"))


@pytest.mark.parametrize("precision, kind", [("16", torch.float16), ("bf16", torch.bfloat16)])
def test_steps_compute_in_the_type_that_describing_does(tmp_path, data, clusters, precision, kind):
    compute = Compute(precision=precision, threads=0)
    run = trainer(tmp_path, data, clusters, compute=compute)
    product = torch.ones(2, 2)
    with run.fabric.autocast():
        assert (product @ product).dtype == kind
    with compute.autocast(run.fabric.device):
        assert (product @ product).dtype == kind


def test_a_stopped_run_in_half_precision_scales_its_gradients_as_one_never_stopped(
    tmp_path, data, clusters, monkeypatch
):
    """A scaler that doubles with every step overflows soon, skips steps, and halves again."""
    scaler = partial(torch.amp.GradScaler, init_scale=2.0**125, growth_interval=1)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    half = {"compute": Compute(precision="16", threads=0), "trunk_cache": tmp_path / "cache"}
    recipe = replace(RECIPE, epochs=1, batch_size=1)
    frozen = start(clusters, cut=6)  # the layer alone is trained
    data = (data[0], None)
    trainer(tmp_path / "whole", data, clusters, recipe, model=frozen, **half).run()
    frozen = start(clusters, cut=6)
    run_in_two_parts(tmp_path / "parts", data, clusters, "e0001-b01", recipe, model=frozen, **half)
    scales = [read_checkpoint(tmp_path / run).progress["scaler"] for run in ("whole", "parts")]
    assert scales[0] == scales[1]
    assert scales[0]["scale"] < 2.0**128  # of twelve steps some were too large
    assert_equal_weights(weights_of(tmp_path / "parts"), weights_of(tmp_path / "whole"))


def last_weights(run):
    prefix = "average.last."
    training = read_checkpoint(run).training
    return {k.removeprefix(prefix): v for k, v in training.items() if k.startswith(prefix)}


@pytest.mark.parametrize("first_epoch", [1, 2])
def test_the_average_over_the_steps_is_stored(tmp_path, data, clusters, first_epoch):
    averaging = replace(RECIPE, average_from=first_epoch)
    run = trainer(tmp_path / "average", data, clusters, averaging)
    met = []
    take_in = run.average.step

    def noting(epoch):
        if epoch >= first_epoch:
            met.append({k: v.clone().double() for k, v in run.model.state_dict().items()})
        take_in(epoch)

    run.average.step = noting
    run.run()
    assert len(met) > 2
    stored = weights_of(tmp_path / "average")
    for name in ("pool.centroids", "encoder.stage5.0.expand.conv.weight"):
        mean = torch.stack([weights[name] for weights in met]).mean(0)
        assert (stored[name] - mean).abs().max() < 1e-6
        assert torch.equal(last_weights(tmp_path / "average")[name].double(), met[-1][name])
        assert not torch.equal(stored[name].double(), met[-1][name])
    assert_equal_weights(run.model.state_dict(), stored)


def test_averaging_does_not_change_the_course_of_training(tmp_path, data, clusters, whole_run):
    trainer(tmp_path, data, clusters, replace(RECIPE, average_from=1)).run()
    last = last_weights(tmp_path)
    without = weights_of(whole_run[0])
    assert_equal_weights(last, {name: without[name] for name in last})


@pytest.mark.parametrize("stop_at", ["e0001-b02", "e0001", "e0002-b01"])
def test_a_stopped_run_that_averages_ends_the_same(tmp_path, data, clusters, stop_at):
    recipe = replace(RECIPE, average_from=1)
    trainer(tmp_path / "whole", data, clusters, recipe).run()
    run_in_two_parts(tmp_path / "parts", data, clusters, stop_at, recipe)
    assert_equal_weights(weights_of(tmp_path / "parts"), weights_of(tmp_path / "whole"))
    assert_equal_weights(last_weights(tmp_path / "parts"), last_weights(tmp_path / "whole"))
    for which in ("latest", "best"):
        one, other = (weights_of(tmp_path / part, which) for part in ("parts", "whole"))
        assert_equal_weights(one, other)


def test_averaging_can_begin_or_end_where_a_run_goes_on(tmp_path, data, clusters, whole_run):
    trainer(tmp_path / "first", data, clusters, replace(RECIPE, epochs=1, average_from=1)).run()
    goes_on = trainer(
        tmp_path / "without",
        data,
        clusters,
        model=model_of(read_checkpoint(tmp_path / "first"), tmp_path),
    )
    goes_on.resume(read_checkpoint(tmp_path / "first"))
    goes_on.run()
    assert_equal_weights(weights_of(tmp_path / "without"), weights_of(whole_run[0]))

    trainer(tmp_path / "plain", data, clusters, replace(RECIPE, epochs=1)).run()
    checkpoint = read_checkpoint(tmp_path / "plain")
    begins = trainer(
        tmp_path / "begins",
        data,
        clusters,
        replace(RECIPE, average_from=1),
        model=model_of(checkpoint, tmp_path),
    )
    begins.resume(checkpoint)
    begins.run()
    last = last_weights(tmp_path / "begins")
    without = weights_of(whole_run[0])
    assert_equal_weights(last, {name: without[name] for name in last})
    assert not torch.equal(
        weights_of(tmp_path / "begins")["pool.centroids"], last["pool.centroids"]
    )


def test_kept_negatives_survive_with_and_without_workers(tmp_path, data, clusters):
    kept = []
    for threads in (0, 2):
        run = trainer(tmp_path / str(threads), data, clusters, compute=Compute(threads=threads))
        kept.append({q: n.tolist() for q, n in run.run().kept.items()})
    assert kept[0] == kept[1]
    assert kept[0]
    assert all(kept[0].values())


def test_an_epoch_without_a_violator_is_said_and_survived(tmp_path, data, clusters):
    notes = []
    recipe = replace(RECIPE, margin=0.0, epochs=1)
    run = trainer(
        tmp_path,
        data,
        clusters,
        recipe,
        report=lambda e: None if isinstance(e, Progress) else notes.append(e.text),
    )
    # With all descriptors alike nothing is nearer than the positive.
    run._refresh = lambda: np.ones((36, run.model.descriptor_dim), dtype=np.float32)
    state = run.run()
    assert state.history[0]["loss"] == 0
    assert any("no query has a violating negative" in note for note in notes)
    assert read_checkpoint(tmp_path).progress["state"]["finished"]


def test_patience_stops_and_stays_stopped(tmp_path, data, clusters):
    recipe = replace(RECIPE, epochs=9, patience=2, lr=1e-12)
    state = trainer(tmp_path, data, clusters, recipe).run()
    assert len(state.history) < 9
    checkpoint = read_checkpoint(tmp_path)
    again = trainer(tmp_path, data, clusters, recipe, model=model_of(checkpoint, tmp_path))
    again.resume(checkpoint)
    assert again.state.finished


def test_a_diverging_run_is_told_apart_and_keeps_its_checkpoint(tmp_path, data, clusters):
    run = trainer(tmp_path, data, clusters)
    original, calls = run.stepper._loss, []

    def explode(*arguments):
        calls.append(1)
        return original(*arguments) * (float("nan") if len(calls) > 4 else 1.0)

    run.stepper._loss = explode
    with pytest.raises(ModelError, match="lower --lr"):
        run.run()
    for value in weights_of(tmp_path).values():
        assert torch.isfinite(value.float()).all()


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, data, clusters, monkeypatch):
    run = trainer(tmp_path, data, clusters)
    write, calls = loop.write_checkpoint, []

    def full(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise StorageError("no space left")
        return write(*arguments)

    monkeypatch.setattr(loop, "write_checkpoint", full)
    with pytest.raises(StorageError):
        run.run()
    assert read_checkpoint(tmp_path).progress["state"]["block"] == 2


def test_unreadable_images_are_left_out(tmp_path, data, clusters):
    train, val = data
    broken = ImageSet(
        train.database.root,
        ("not-there.jpg", *train.database.names[1:]),
        train.database.positions,
    )
    run = trainer(tmp_path, (replace(train, database=broken), val), clusters)
    state = run.run()
    assert not run.train_features.readable[0]
    assert all(0 not in negatives for negatives in state.kept.values())


def test_data_without_positives_is_refused(tmp_path, data, clusters):
    train, val = data
    far = replace(train.queries, positions=train.queries.positions + 1e5)
    with pytest.raises(DataError, match="no query has a database image within 10 m"):
        trainer(tmp_path, (replace(train, queries=far), val), clusters)


@pytest.mark.parametrize("pooling", ["avg", "gem", "max"])
def test_other_poolings_train(tmp_path, data, clusters, pooling):
    state = trainer(tmp_path, data, clusters, model=start(clusters, pooling)).run()
    assert len(state.history) == 2
