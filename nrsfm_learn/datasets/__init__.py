"""Generated and recorded point tracks with ground truth."""

from nrsfm_learn.datasets._asf_amc import load_asf_amc
from nrsfm_learn.datasets._body import make_articulated_body
from nrsfm_learn.datasets._c3dpo_json import load_c3dpo_json
from nrsfm_learn.datasets._camera_path import make_camera_path
from nrsfm_learn.datasets._low_rank import make_low_rank
from nrsfm_learn.datasets._recorded import get_data_home, load_cmu_joints, load_short_sequence
from nrsfm_learn.datasets._rigid_category import make_rigid_category
from nrsfm_learn.datasets._sheet import make_bending_sheet
from nrsfm_learn.datasets._surface_body import make_surface_body
from nrsfm_learn.datasets._twelve_categories import make_twelve_categories

__all__ = [
    "get_data_home",
    "load_asf_amc",
    "load_c3dpo_json",
    "load_cmu_joints",
    "load_short_sequence",
    "make_articulated_body",
    "make_bending_sheet",
    "make_camera_path",
    "make_low_rank",
    "make_rigid_category",
    "make_surface_body",
    "make_twelve_categories",
]
