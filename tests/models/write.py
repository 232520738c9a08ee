"""Write the model files of this version beside this script; see README.md."""

from pathlib import Path

import numpy as np

import nrsfm_learn
from nrsfm_learn import PAUL, DeepNRSfMPP, RigidFactorization
from nrsfm_learn.datasets import make_articulated_body

HERE = Path(__file__).parent
MODELS = {
    "rigid_factorization": RigidFactorization(),
    "deep_nrsfm_pp": DeepNRSfMPP(dictionary_sizes=(6, 3), max_iter=3, random_state=0, device="cpu"),
    "paul": PAUL(
        n_components=2,
        encoder_width=8,
        widths=(8,),
        max_iter=3,
        n_init=1,
        random_state=0,
        device="cpu",
    ),
}


def main():
    body = make_articulated_body(12, missing=0.1, random_state=0)
    W = body.W[:, ::4]
    for name, model in MODELS.items():
        model.fit(W)
        path = HERE / f"{name}_{nrsfm_learn.__version__}.safetensors"
        model.save(path, card={"names": list(body.names[::4]), "score": round(model.score(W), 3)})
        np.savez_compressed(path.with_suffix(".npz"), W=W, X=model.transform(W))
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
