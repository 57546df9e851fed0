"""MLlib's forests and boosted trees as XGBoost boosters that predict the same.

MLlib goes left where x <= t, XGBoost where x < t: so the threshold becomes the next float32 above t, which is exact
for inputs that are float32. Leaves are multiplied by their tree's weight. XGBoost takes the right child for the
neighbour of the left one, so nodes are renumbered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_VERSION = [3, 2, 0]  # of the format
_ROOT_PARENT = 2**31 - 1


@dataclass(frozen=True)
class Tree:
    """One regression tree; node 0 is the root.

    Attributes:
        left: Left child of each node, -1 for a leaf.
        right: Right child of each node.
        feature: Input that a node splits on.
        threshold: Rows with a value of at most this go left.
        value: Prediction of each node.
        weight: Weight of the training rows in each node.
        gain: Reduction of the variance by each split.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray
    weight: np.ndarray
    gain: np.ndarray


def read_trees(nodes: pa.Table) -> list[Tree]:
    """The trees of a saved ensemble, in order.

    Args:
        nodes: The table `data` that MLlib saves: `treeID` and `nodeData`. A split of categories does not occur, since
            all inputs are numbers.
    """
    import polars as pl

    split = pl.col("split")
    thresholds = split.struct.field("leftCategoriesOrThreshold")
    flat = (
        pl.DataFrame(pl.from_arrow(nodes.select(["treeID", "nodeData"])))
        .unnest("nodeData")
        .select(
            "treeID",
            "id",
            left="leftChild",
            right="rightChild",
            feature=split.struct.field("featureIndex"),
            threshold=thresholds.list.get(0, null_on_oob=True).fill_null(0.0),
            value="prediction",
            weight=pl.col("impurityStats").list.get(0),
            gain="gain",
        )
        .sort("treeID", "id")
    )
    return [
        Tree(**{name: tree[name].to_numpy() for name in Tree.__dataclass_fields__})
        for tree in flat.partition_by("treeID", maintain_order=True)
    ]


def booster_of(trees: Sequence[Tree], weights: Sequence[float], features: int, normalized_gain: bool) -> bytes:
    """A booster whose prediction is the weighted sum of trees.

    Args:
        trees: The trees.
        weights: Weight of each one.
        features: Number of inputs.
        normalized_gain: Whether each tree's gains are divided by their sum, as MLlib does it for forests; the
            booster's total gain is then MLlib's `featureImportances`.

    Returns:
        The content of XGBoost's own format (UBJSON).
    """
    import xgboost

    model = {
        "version": _VERSION,
        "learner": {
            "attributes": {},
            "feature_names": [],
            "feature_types": [],
            "learner_model_param": {
                "base_score": "0E0", "boost_from_average": "0", "num_class": "0", "num_feature": str(features),
                "num_target": "1",
            },
            "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
            "gradient_booster": {
                "name": "gbtree",
                "model": {
                    "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
                    "iteration_indptr": list(range(len(trees) + 1)),
                    "tree_info": [0] * len(trees),
                    "trees": [
                        _tree(number, tree, weight, features, normalized_gain)
                        for number, (tree, weight) in enumerate(zip(trees, weights, strict=True))
                    ],
                },
            },
        },
    }  # fmt: skip
    booster = xgboost.Booster(model_file=bytearray(json.dumps(model).encode()))
    return bytes(booster.save_raw("ubj"))


def _tree(number: int, tree: Tree, weight: float, features: int, normalized_gain: bool) -> dict[str, Any]:
    size = len(tree.left)
    inner = tree.left >= 0
    rank = np.cumsum(inner) - 1
    # The children of the k-th split, in the order of the nodes, are 2k + 1 and 2k + 2.
    place = np.zeros(size, np.int64)
    place[tree.left[inner]] = 2 * rank[inner] + 1
    place[tree.right[inner]] = 2 * rank[inner] + 2
    parents = np.full(size, _ROOT_PARENT)
    parents[place[tree.left[inner]]] = place[inner]
    parents[place[tree.right[inner]]] = place[inner]
    left, right = np.full(size, -1), np.full(size, -1)
    left[place[inner]], right[place[inner]] = place[tree.left[inner]], place[tree.right[inner]]
    values = (tree.value * weight).astype(np.float32)
    conditions, features_at, gains, cover = (np.zeros(size, kind) for kind in (np.float32, np.int64, float, float))
    conditions[place] = np.where(inner, _next_above(tree.threshold), values)
    features_at[place[inner]] = tree.feature[inner]
    gained = np.where(inner, tree.gain * tree.weight, 0.0)
    total = gained.sum()
    gains[place] = gained / total if normalized_gain and total > 0 else gained
    cover[place] = tree.weight
    base_weights = np.zeros(size, np.float32)
    base_weights[place] = values
    return {
        "id": number,
        "tree_param": {
            "num_deleted": "0", "num_feature": str(features), "num_nodes": str(size), "size_leaf_vector": "1",
        },
        "left_children": left.tolist(),
        "right_children": right.tolist(),
        "parents": parents.tolist(),
        "split_indices": features_at.tolist(),
        "split_conditions": conditions.astype(float).tolist(),
        "split_type": [0] * size,
        "default_left": [0] * size,
        "loss_changes": gains.tolist(),
        "sum_hessian": cover.tolist(),
        "base_weights": base_weights.astype(float).tolist(),
        "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
    }  # fmt: skip


def _next_above(thresholds: np.ndarray) -> np.ndarray:
    """The smallest float32 above each threshold: below it lie just the float32 values of at most the threshold."""
    rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    return np.where(above, rounded, np.nextafter(rounded, np.float32(np.inf)))
