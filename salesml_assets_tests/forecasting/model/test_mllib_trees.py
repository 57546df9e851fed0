"""Trees of MLlib as boosters: the same prediction, for every value that a float32 can have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml_assets.forecasting.model.mllib_trees import Tree, booster_of, read_trees
from salesml_assets.forecasting.model.regressors import Trees

INPUTS = 4


def random_tree(random: np.random.Generator, depth: int) -> list[dict[str, object]]:
    """Nodes in MLlib's order: a node, its left side, its right side."""
    nodes: list[dict[str, object]] = []

    def grow(level: int) -> int:
        number = len(nodes)
        node: dict[str, object] = {
            "id": number, "prediction": float(random.normal()), "impurity": 0.0,
            "impurityStats": [float(random.integers(1, 100)), 0.0, 0.0], "rawCount": 1,
            "gain": -1.0, "leftChild": -1, "rightChild": -1,
            "split": {"featureIndex": -1, "leftCategoriesOrThreshold": [], "numCategories": -1},
        }  # fmt: skip
        nodes.append(node)
        if level < depth and (level == 0 or random.random() < 0.8):
            # Thresholds of halves are values that rows really have: there, at most and below differ.
            threshold = float(random.integers(-4, 5)) / 2 if random.random() < 0.5 else float(random.normal())
            node["split"] = {
                "featureIndex": int(random.integers(INPUTS)),
                "leftCategoriesOrThreshold": [threshold],
                "numCategories": -1,
            }
            node["gain"] = float(random.random())
            children = node["leftChild"], node["rightChild"] = grow(level + 1), grow(level + 1)
            weights = [nodes[child]["impurityStats"] for child in children]
            node["impurityStats"] = [sum(stats[0] for stats in weights), 0.0, 0.0]  # type: ignore[index]
        return number

    grow(0)
    return nodes


def saved(trees: list[list[dict[str, object]]]) -> pa.Table:
    """As MLlib saves them, in an order that says nothing."""
    rows = [{"treeID": number, "nodeData": node} for number, tree in enumerate(trees) for node in tree]
    return pa.Table.from_pylist(rows[::-1])


def walked(nodes: list[dict[str, object]], row: np.ndarray) -> float:
    """The prediction of one tree, as MLlib defines it."""
    node = nodes[0]
    while node["leftChild"] != -1:
        split = node["split"]
        assert isinstance(split, dict)
        left = float(row[split["featureIndex"]]) <= split["leftCategoriesOrThreshold"][0]
        node = nodes[int(str(node["leftChild" if left else "rightChild"]))]
    return float(str(node["prediction"]))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_the_booster_predicts_the_weighted_sum_of_the_trees(seed: int, count: int, depth: int) -> None:
    random = np.random.default_rng(seed)
    nodes = [random_tree(random, depth) for _ in range(count)]
    weights = random.random(count).tolist()
    matrix = np.where(
        random.random((40, INPUTS)) < 0.5, random.integers(-4, 5, (40, INPUTS)) / 2, random.normal(size=(40, INPUTS))
    ).astype(np.float32)
    trees = Trees(booster_of(read_trees(saved(nodes)), weights, INPUTS, normalized_gain=False))
    expected = [sum(weight * walked(tree, row) for weight, tree in zip(weights, nodes, strict=True)) for row in matrix]
    np.testing.assert_allclose(trees.predict(matrix), expected, rtol=1e-5, atol=1e-5)
    shares = trees.contributions(matrix)
    assert shares.shape == (40, INPUTS + 1)
    np.testing.assert_allclose(shares.sum(axis=1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 1 / 3, -2.0, 1e-30, 16777217.0, -0.1])
def test_a_value_at_a_threshold_goes_the_way_it_goes_in_mllib(threshold: float) -> None:
    tree = Tree(
        left=np.array([1, -1, -1]), right=np.array([2, -1, -1]), feature=np.array([0, -1, -1]),
        threshold=np.array([threshold, 0.0, 0.0]), value=np.array([0.0, 1.0, 2.0]), weight=np.ones(3),
        gain=np.array([1.0, -1.0, -1.0]),
    )  # fmt: skip
    trees = Trees(booster_of([tree], [1.0], 1, normalized_gain=False))
    near = np.float32(threshold)
    values = np.array([near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))])
    expected = np.where(values.astype(float) <= threshold, 1.0, 2.0)
    assert trees.predict(values[:, None].astype(np.float32)).tolist() == expected.tolist()


def test_importance_is_that_of_mllib() -> None:
    random = np.random.default_rng(1)
    nodes = [random_tree(random, 4) for _ in range(3)]
    trees = read_trees(saved(nodes))
    expected = np.zeros(INPUTS)
    for tree in trees:  # MLlib: gain times weight of each split; in a forest each tree counts alike
        own = np.zeros(INPUTS)
        inner = tree.left >= 0
        np.add.at(own, tree.feature[inner], (tree.gain * tree.weight)[inner])
        expected += own / own.sum()
    found = Trees(booster_of(trees, [1 / 3] * 3, INPUTS, normalized_gain=True)).importance()
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), rtol=1e-5)
