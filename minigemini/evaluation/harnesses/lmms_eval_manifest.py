"""The entry point ``lmms_eval.models``: what lmms-eval (0.7.3) reads to know of ``--model minigemini``.

Apart from the model, as lmms-eval loads this while it is itself still being imported, for whatever model.
"""

from lmms_eval.models.registry_v2 import ModelManifest

MODULE = "minigemini.evaluation.harnesses.lmms_eval_model"
MANIFEST = ModelManifest("minigemini", chat_class_path=f"{MODULE}.ChatModel", simple_class_path=f"{MODULE}.SimpleModel")
