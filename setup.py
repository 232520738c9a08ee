"""The package's metadata. The build system and the tools are configured in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name="nrsfm-learn",
    version=runpy.run_path(str(HERE / "nrsfm_learn" / "_version.py"))["__version__"],
    description="Non-rigid structure from motion with the interface of scikit-learn",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the nrsfm_learn developers",
    license_expression="BSD-3-Clause",
    license_files=["LICENSE"],
    keywords=[
        "non-rigid structure from motion",
        "3d reconstruction",
        "pose estimation",
        "keypoints",
        "scikit-learn",
        "pytorch",
    ],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    packages=find_packages(include=["nrsfm_learn", "nrsfm_learn.*"]),
    package_data={"nrsfm_learn.report": ["viewer.css", "viewer.js"]},
    python_requires=">=3.11",
    entry_points={"console_scripts": ["nrsfm-learn = nrsfm_learn.cli:main"]},
    install_requires=[
        "click>=8.1",
        "joblib>=1.4",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "rich>=13.9",  # sklearn.callback.ProgressBar draws with it
        "safetensors>=0.4",
        "scikit-learn>=1.9",
        "scipy>=1.11",
        "threadpoolctl>=3.5",
        "torch>=2.4",
    ],
    extras_require={
        "plot": ["plotly>=6"],
        "image": ["transformers>=4.50"],
        "distributed": ["lightning-fabric>=2.4"],
        "rerun": ["rerun-sdk>=0.23"],
        "io": ["ezc3d>=1.5", "h5py>=3.10"],
        "movement": ["movement>=0.10"],
        "test": [
            "ezc3d>=1.5",
            "h5py>=3.10",
            "hypothesis>=6.100",
            "numpydoc>=1.8",
            "pandas>=2.2",  # with tables: DeepLabCut's h5 files are written with them
            "playwright>=1.45",  # drives an installed Chromium; brings no browser
            "pytest>=8",
            "pytest-xdist>=3.6",
            "tables>=3.9",
        ],
        "docs": [
            "numpydoc>=1.8",
            "pydata-sphinx-theme>=0.16",
            "sphinx>=8",
            "sphinx-gallery>=0.18",
            "sphinxcontrib-bibtex>=2.6",
        ],
    },
)
