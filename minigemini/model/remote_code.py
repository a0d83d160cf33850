"""What lets a process that imports only transformers read our folders: `auto_map`, and the code it names."""

import shutil
from pathlib import Path
from typing import Any

CODE = Path(__file__).with_name("import_minigemini.py")
AUTO_MAP = {
    "AutoConfig": "import_minigemini.MiniGeminiConfig",
    "AutoImageProcessor": "import_minigemini.MiniGeminiImageProcessor",
    "AutoModel": "import_minigemini.MiniGeminiModel",
    "AutoModelForImageTextToText": "import_minigemini.MiniGeminiForConditionalGeneration",
    "AutoModelForMultimodalLM": "import_minigemini.MiniGeminiForConditionalGeneration",
    "AutoProcessor": "import_minigemini.MiniGeminiProcessor",
}


class SavedWithCode:
    """Before a config or a processor of transformers: what is saved has `auto_map` in it, and beside it the code."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "auto_map": dict(AUTO_MAP)}  # type: ignore[misc]

    def to_json_file(self, json_file_path: Any, *args: Any, **kwargs: Any) -> None:
        super().to_json_file(json_file_path, *args, **kwargs)  # type: ignore[misc]
        shutil.copyfile(CODE, Path(json_file_path).with_name(CODE.name))

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "") -> None:
        """Nothing: transformers, which calls it on what remote code gave, would save the sources of this package instead."""
