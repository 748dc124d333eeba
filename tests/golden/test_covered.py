"""No golden file without a test: every kind in the folder is named here, with the tests that read it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
GOLDEN = TESTS / "golden" / "data"
KERNELS, PUBLISHED = "golden/test_kernels.py", "golden/test_published.py"
TRAINING = "training/test_golden.py"

# kind of file -> (module, test) of each parity test that goes through all files of the kind
COVERED: dict[str, list[tuple[str, str]]] = {
    "soft_nms": [(KERNELS, "test_soft_nms"), (PUBLISHED, "test_soft_nms_rows")],
    "nms": [(KERNELS, "test_nms")],
    "boundary_adaption": [(KERNELS, "test_adapt_boundaries"), (PUBLISHED, "test_boundary_adaption")],
    "upgrade_resolution": [(KERNELS, "test_published_upsampling")],
    "get_oic_score": [(KERNELS, "test_published_contrast")],
    "proposal_oic_th0.0": [(PUBLISHED, "test_proposals")],
    "proposal_oic_th0.1": [(PUBLISHED, "test_proposals")],
    "proposal_oic_th0.2": [(PUBLISHED, "test_proposals")],
    "proposal_oic_th0.5": [(PUBLISHED, "test_proposals")],
    "proposal_oic_agnostic": [(PUBLISHED, "test_proposals")],
    "lacp_post": [(PUBLISHED, "test_lacp_post"), (PUBLISHED, "test_our_suppression_of_lacp_proposals")],
    "tspnet_post": [(PUBLISHED, "test_tspnet_post"), (PUBLISHED, "test_our_kernels_in_the_place_of_tspnets")],
    "roi_R6": [(KERNELS, "test_published_pooling")],
    "roi_R12": [(KERNELS, "test_published_pooling")],
    "detection_map": [(KERNELS, "test_average_precision")],
    "lacp_seed_search": [(KERNELS, "test_seeds_and_sequence")],
    "lacp_loss_dense": [(TRAINING, "test_lacp_loss_and_gradients")],
    "lacp_loss_nodense": [(TRAINING, "test_lacp_loss_and_gradients")],
    "backbone": [(TRAINING, "test_backbone")],
    "ptal_loss": [(TRAINING, "test_csl_loss_gradients_and_scores"), (PUBLISHED, "test_fused_scores")],
    "center_label": [(TRAINING, "test_center_labels"), (PUBLISHED, "test_labels")],
    "update_label": [(TRAINING, "test_the_first_point_update"), (PUBLISHED, "test_labels")],
}


def test_every_golden_file_has_a_test(golden_dir: Path):
    found = set()
    for file in golden_dir.glob("*.npz"):
        name = re.fullmatch(r"(.+)_\d\d\.npz", file.name)
        assert name, f"{file.name} is not named kind_case.npz"
        found.add(name[1])
    assert found, "the golden folder is empty"
    assert found - COVERED.keys() == set(), "golden files that no test reads"


def texts_of(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


@pytest.mark.parametrize("kind", COVERED)
def test_the_named_tests_exist_and_read_the_kind(kind: str):
    for module, test in COVERED[kind]:
        tree = ast.parse((TESTS / module).read_text())
        functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
        assert test in functions, f"{module} has no {test}"
        read = texts_of(functions[test])
        used = {n.id for n in ast.walk(functions[test]) if isinstance(n, ast.Name)}
        for node in tree.body:  # a list of kinds that the test is parametrized with
            if isinstance(node, ast.Assign) and used & {n.id for n in node.targets if isinstance(n, ast.Name)}:
                read |= texts_of(node.value)
        assert kind in read, f"{module}::{test} does not read {kind}"


def test_the_small_set_has_a_file_of_every_kind_and_stays_small():
    files = sorted(GOLDEN.glob("*.npz"))
    assert {re.fullmatch(r"(.+)_\d\d\.npz", file.name)[1] for file in files} == set(COVERED)
    assert sum(file.stat().st_size for file in files) < 400_000


@pytest.mark.shared
def test_the_small_set_is_a_part_of_the_whole(shared_dir: Path):
    for file in GOLDEN.glob("*.npz"):
        assert (shared_dir / "golden" / file.name).read_bytes() == file.read_bytes(), file.name
