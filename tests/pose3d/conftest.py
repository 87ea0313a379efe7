"""Motion and Ascend's stand-ins, as the tests of export have them."""

from tests.anypose.export.conftest import ais_bench, atc_on_path, motion

__all__ = ["ais_bench", "atc_on_path", "motion"]
