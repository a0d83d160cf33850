"""Any text-to-image pipeline of diffusers behind one ``draw``."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import diffusers
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from minigemini import nano
from minigemini.generation.families import family_settings, reads_guidance
from minigemini.generation.generation_record import PICTURE_EDITS, GenerationRecord
from minigemini.generation.load_pipeline import Offload, load_pipeline
from minigemini.generation.previews import can_preview, clean_latents, preview
from minigemini.generation.tasks import IMAGE_TO_IMAGE, INPAINTING, TEXT_TO_IMAGE

OnStep = Callable[[int, int], None]
"""Called after each denoising step with the steps done and the steps in all; what it raises ends the drawing."""

OnPreview = Callable[[Image.Image], None]
"""Called with a small picture of what is being drawn, see :func:`~minigemini.generation.previews.preview`."""

NANO = "nano"
"""Name of the generator that is shipped with this package."""


class ImageGenerator:
    """A text-to-image pipeline. One generator may draw in several threads at once; on a GPU they wait for each other.

    Args:
        pipeline: a pipeline of diffusers, on its device and in its dtype.
        name: what records call it.
        bits: of its denoiser's layers, for the records; None: as its dtype.
    """

    def __init__(self, pipeline: DiffusionPipeline, name: str, bits: Literal[4, 8] | None = None) -> None:
        self.pipeline = pipeline
        self.name = name
        self.bits = bits
        # Offloading and SDXL's float16 autoencoder change the modules themselves, and two at once are no faster on a GPU.
        self._turn = nullcontext() if _execution_device(pipeline).type == "cpu" else Lock()
        self.family = type(pipeline).__name__
        parameters = inspect.signature(type(pipeline).__call__).parameters
        self._defaults = {key: p.default for key, p in parameters.items() if p.default is not inspect.Parameter.empty}
        if "prompt" not in parameters:
            raise ValueError(f"{name}: {self.family} does not draw from a text prompt")
        # Where there are both, classifier-free guidance is true_cfg_scale, and guidance_scale is a number that a distilled model
        # reads: FLUX's were distilled so; Qwen-Image's were not (the default is None) and are guided by the first.
        self._classifier_free = "true_cfg_scale" if "true_cfg_scale" in self._defaults else "guidance_scale"
        distilled = self._defaults.get("guidance_scale") is not None
        self._guidance = "guidance_scale" if distilled else self._classifier_free
        if not reads_guidance(pipeline):
            del self._defaults["guidance_scale"]
        self._settings = family_settings(pipeline)
        self._reading, limit = self._reading_tokenizers()
        if "max_sequence_length" in self._defaults and limit is not None:
            self._settings["max_sequence_length"] = limit
        self.max_prompt_tokens = limit and limit - self._reading[0].num_special_tokens_to_add()
        """The longest prompt that is read to its end, as :meth:`count_prompt_tokens` counts; None if no limit is known."""

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path = NANO,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        *,
        offload: Offload = "none",
        bits: Literal[4, 8] | None = None,
    ) -> ImageGenerator:
        """Load a pipeline; only safetensors, no code from the folder.

        Args:
            path_or_id: a local folder, ``"nano"`` (shipped), or a hub id.
            device: a GPU if there is one, else the CPU.
            dtype: float16 on a GPU, float32 on the CPU.
            offload, bits: for a GPU with little memory, see :func:`~minigemini.generation.load_pipeline.load_pipeline`.

        Raises:
            ValueError: there is no such pipeline, it does not draw from text, or it cannot be loaded so; it names it.
        """
        named = str(path_or_id)
        if named == NANO and not Path(named).exists():
            path = str(nano.path("nano-base/image_generator"))
        else:
            path = nano.resolve(named)
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = dtype or (torch.float16 if device.type == "cuda" else torch.float32)
        try:
            pipeline = load_pipeline(path, named, device, dtype, offload, bits)
        except OSError as error:
            raise ValueError(f"{named}: no image generator can be loaded from there ({error})") from error
        local = Path(named).is_dir()
        return cls(pipeline, Path(named).resolve().name if local else named, bits)

    def _reading_tokenizers(self) -> tuple[list[PreTrainedTokenizerBase], int | None]:
        """Private copies of the tokenizers that decide how much of a prompt is read, and how many tokens that is."""
        tokenizers = [c for _, c in sorted(self.pipeline.components.items()) if isinstance(c, PreTrainedTokenizerBase)]
        if not tokenizers:
            return [], None
        longest = {**self._defaults, **self._settings}.get("max_sequence_length")
        if longest is not None:
            # Pipelines with such an argument read the whole prompt with their last text encoder (T5 or a language model);
            # a CLIP beside it gives a summary only.
            tokenizers, limits = tokenizers[-1:], [longest, tokenizers[-1].model_max_length]
        else:
            limits = [tokenizer.model_max_length for tokenizer in tokenizers]
        limit = min(limits)
        # transformers says "no limit" with a huge number.
        return copy.deepcopy(tokenizers), int(limit) if limit < 1_000_000 else None

    @property
    def settings(self) -> dict[str, Any]:
        """What every call of the pipeline is given: steps, guidance, lengths; see :mod:`minigemini.generation.families`."""
        return dict(self._settings)

    @property
    def steps(self) -> int:
        """Of a drawing that is not told how many; some edits take fewer."""
        return int({**self._defaults, **self._settings}["num_inference_steps"])

    def with_settings(self, *, steps: int | None = None, guidance: float | None = None) -> ImageGenerator:
        """The same pipeline with other settings than its family's where they are given.

        Raises:
            ValueError: the pipeline lacks one, or cannot draw so.
        """
        self._check_settings(steps, guidance)
        asked = {"num_inference_steps": steps, self._guidance: guidance}
        asked = {key: value for key, value in asked.items() if value is not None}
        for key in asked:
            if key not in self._defaults:
                raise ValueError(f"{self.name}: {self.family} has no {key}")
        other = copy.copy(self)
        other._settings = {**self._settings, **asked}
        return other

    @property
    def edits_by_instruction(self) -> bool:
        """The pipeline takes a picture and is told what to change in it."""
        # With a strength it takes noise off the picture instead; upscalers and ControlNets are guided by theirs.
        other_uses = {"strength", "noise_level", "controlnet_conditioning_scale"}
        return "image" in self._defaults and not other_uses & set(self._defaults)

    @property
    def takes_size(self) -> bool:
        """The pipeline is told the size to draw; image-to-image often takes its picture's."""
        return {"width", "height"} <= set(self._defaults)

    @property
    def needs_picture(self) -> bool:
        """The pipeline cannot draw from a prompt alone."""
        return "image" in self._defaults and type(self.pipeline) not in TEXT_TO_IMAGE.values()

    def image_to_image(self) -> ImageGenerator | None:
        """The same weights and settings behind the family's image-to-image pipeline; None if diffusers has none."""
        return self._behind(IMAGE_TO_IMAGE)

    def inpainting(self) -> ImageGenerator | None:
        """Likewise behind the pipeline that changes a part of a picture."""
        if type(self.pipeline) in INPAINTING.values():
            return self
        return self._behind(INPAINTING)

    def _behind(self, pipelines: Mapping[str, type]) -> ImageGenerator | None:
        """The same weights behind a pipeline of another purpose: the one of the same key; None if there is none."""
        keys = {**_by_class(IMAGE_TO_IMAGE), **_by_class(TEXT_TO_IMAGE)}
        pipeline = pipelines.get(keys.get(type(self.pipeline), ""))
        if pipeline is None:
            return None
        takes = inspect.signature(pipeline).parameters
        given = {**self.pipeline.config, **self.pipeline.components}
        given = {key: value for key, value in given.items() if key in takes}
        other = ImageGenerator(pipeline(**given), self.name, self.bits)
        other._turn = self._turn
        other._settings = {**other._settings, **{k: v for k, v in self._settings.items() if k in other._defaults}}
        return other

    def count_prompt_tokens(self, prompt: str) -> int:
        """Tokens of a prompt for the text encoder that reads the least, without the special ones around it."""
        # Some pipelines lower and strip the prompt before they read it, which may change the count.
        forms = {prompt, prompt.lower().strip()}
        return max(
            (len(t.encode(form, add_special_tokens=False, verbose=False)) for t in self._reading for form in forms),
            default=0,
        )

    def draw(
        self,
        prompt: str,
        *,
        seed: int,
        steps: int | None = None,
        guidance: float | None = None,
        size: tuple[int, int] | None = None,
        negative_prompt: str | None = None,
        truncate: bool = False,
        parents: Sequence[str] = (),
        image: Image.Image | None = None,
        mask: Image.Image | None = None,
        strength: float | None = None,
        on_step: OnStep | None = None,
        on_preview: OnPreview | None = None,
        preview_every: int = 5,
    ) -> tuple[Image.Image, GenerationRecord]:
        """Draw one picture. The same arguments give the same pixels on the same machine, whatever else is being drawn.

        Args:
            prompt: not empty.
            seed: of the noise, which is made on the CPU so that it is the same on every device.
            steps, guidance, negative_prompt: None: :attr:`settings`, else the pipeline's default.
            size: (width, height) in pixels; None: the size the pipeline was trained for.
            truncate: draw a prompt that is too long without its end, and say so in the record, instead of refusing it.
            parents: for the record.
            image: the picture to begin from or to change; :func:`~minigemini.generation.edit.edit` chooses how.
            mask: where to change it, white on black; see :func:`~minigemini.generation.inpaint.inpaint`.
            strength: of a change by image-to-image, above 0 (the picture as it is) to 1 (nothing of it); None: the pipeline's.
            on_step: see :data:`OnStep`.
            on_preview: see :data:`OnPreview`; called after every ``preview_every`` steps but not after the last.

        Returns:
            The picture (RGB) and what made it. A setting that this pipeline lacks is left out, with a warning.

        Raises:
            ValueError: the prompt is empty or too long, so is the negative prompt, nothing can be drawn with a setting, or the
                pipeline takes no picture, no mask or no strength, or needs a picture.
        """
        self._check_settings(steps, guidance, size)
        assert preview_every > 0
        if self.needs_picture and image is None:
            raise ValueError(f"{self.name}: {self.family} draws from a picture, and none is given")
        length = self._checked_length(prompt, truncate)
        longest = length
        scale = {**self._defaults, **self._settings}.get(self._classifier_free)
        if guidance is not None and self._guidance == self._classifier_free:
            scale = guidance
        unguided = scale is not None and scale <= 1
        unread = unguided or "negative_prompt" not in self._defaults  # and a warning follows
        if negative_prompt and not unread and negative_prompt != self._settings.get("negative_prompt"):
            longest = max(length, self._checked_length(negative_prompt, truncate, "negative prompt"))

        width, height = size or (None, None)
        asked = {
            "num_inference_steps": steps,
            self._guidance: guidance,
            "negative_prompt": negative_prompt,
            "width": width,
            "height": height,
        }
        asked = {key: value for key, value in asked.items() if value is not None}
        lacking = sorted(key for key in asked if key not in self._defaults)
        if lacking:
            warnings.warn(f"{self.family} has no {', '.join(lacking)}; drawn without", stacklevel=2)
        settings = {key: v for key, v in {**self._settings, **asked}.items() if key in self._defaults}
        if unguided and "negative_prompt" in settings:
            dropped = settings.pop("negative_prompt")
            if dropped and dropped == negative_prompt:
                warnings.warn(
                    f"{self.family} reads no negative_prompt at {self._classifier_free}={scale:g}; drawn without",
                    stacklevel=2,
                )

        given = {"image": image and image.convert("RGB"), "mask_image": mask, "strength": strength}
        given = {key: value for key, value in given.items() if value is not None}
        for key in given:
            if key not in self._defaults:
                raise ValueError(f"{self.name}: {self.family} takes no {key}")
        settings |= given
        if size is not None and "max_area" in self._defaults:
            # Kontext draws a million pixels in this proportion, of a picture that it brought to as many, unless told.
            settings |= {"max_area": size[0] * size[1], "_auto_resize": False}
        used = {**self._defaults, **settings}
        # LCM's image-to-image spreads all its steps over the part that the strength leaves, and checks them.
        if (
            "strength" in used
            and "original_inference_steps" not in used
            and not (0 < used["strength"] <= 1 and int(used["num_inference_steps"] * used["strength"]))
        ):
            raise ValueError(
                f"strength={used['strength']} of {used['num_inference_steps']} steps: it must be above 0, at most 1, and "
                "leave one step to be taken"
            )

        if on_preview is not None and not can_preview(self.pipeline):
            warnings.warn(f"{self.family} shows no previews; drawn without", stacklevel=2)
            on_preview = None

        def taken(done: int, total: int, latents: Callable[[], torch.Tensor]) -> None:
            if on_step is not None:
                on_step(done, total)
            if on_preview is not None and done < total and done % preview_every == 0:
                on_preview(preview(view, latents(), size or (image.size if image else (1, 1))))

        view = self._view(taken)
        with self._turn:
            output = view(prompt=prompt, generator=torch.Generator("cpu").manual_seed(seed), **settings)
        images = output.get("images")
        if not images or not isinstance(images[0], Image.Image):
            raise ValueError(f"{self.name}: {self.family} does not make pictures")
        drawn = images[0].convert("RGB")
        if size is not None and not {"width", "height"} & set(lacking) and drawn.size != tuple(size):
            warnings.warn(f"{self.family} drew {drawn.width}x{drawn.height}, not {width}x{height}", stacklevel=2)

        record = GenerationRecord(
            prompt=prompt,
            negative_prompt=used.get("negative_prompt"),
            seed=seed,
            steps=used.get("num_inference_steps"),
            guidance=used.get(self._guidance),
            width=drawn.width,
            height=drawn.height,
            generator=self.name,
            pipeline=self.family,
            scheduler=type(view.scheduler).__name__,
            dtype=str(view.dtype).removeprefix("torch."),
            device=_execution_device(view).type,
            versions={"diffusers": diffusers.__version__, "torch": torch.__version__},
            prompt_tokens=length if self._reading else None,
            truncated=self.max_prompt_tokens is not None and longest > self.max_prompt_tokens,
            parents=list(parents),
            strength=used.get("strength"),
            bits=self.bits,
        )
        return drawn, record

    def draw_several(
        self, prompt: str, count: int, *, seed: int, **settings: Any
    ) -> Iterator[tuple[Image.Image, GenerationRecord]]:
        """Several pictures of one prompt, each as :meth:`draw` makes it of its own seed: ``seed``, ``seed + 1``, ...

        Args:
            settings: as :meth:`draw` takes them, for every picture.

        Raises:
            ValueError: as :meth:`draw`, or there are none to draw.
        """
        if count < 1:
            raise ValueError(f"count={count}: at least one picture is drawn")
        for index in range(count):
            yield self.draw(prompt, seed=(seed + index) % 2**63, **settings)

    def draw_batch(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        """Several pictures at once with the family's settings: the quick way to draw hundreds.

        Each is the picture of :meth:`draw` but for rounding, as sums over a batch are taken in another order; a record, which
        promises the same bits, cannot be given.

        Raises:
            ValueError: a prompt is empty or too long.
        """
        for prompt in prompts:
            self._checked_length(prompt, truncate=False)
        settings = {key: value for key, value in self._settings.items() if key in self._defaults}
        noise = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        assert len(noise) == len(prompts)
        with self._turn:
            images = self._view(None)(prompt=list(prompts), generator=noise, **settings).images
        return [image.convert("RGB") for image in images]

    def draw_again(
        self, record: GenerationRecord, on_step: OnStep | None = None
    ) -> tuple[Image.Image, GenerationRecord]:
        """The picture of a record once more.

        Raises:
            ValueError: the picture was drawn from another, which :func:`~minigemini.generation.edit.edit_again` is given.
        """
        if record.edit in PICTURE_EDITS:
            raise ValueError(f"{record.prompt!r} was an edit by {record.edit}; its parent is needed to draw it again")
        image, drawn = self.draw(
            record.prompt,
            seed=record.seed,
            steps=record.steps,
            guidance=record.guidance,
            size=(record.width, record.height),
            negative_prompt=record.negative_prompt,
            truncate=record.truncated,
            parents=record.parents,
            on_step=on_step,
        )
        return image, replace(drawn, edit=record.edit)

    def _check_settings(self, steps: int | None, guidance: float | None, size: tuple[int, int] | None = None) -> None:
        """
        Raises:
            ValueError: one with which a pipeline makes noise, or nothing, without a word; it is named.
        """
        if steps is not None and steps < 1:
            raise ValueError(f"steps={steps}: a picture takes at least one")
        if guidance is not None and not (math.isfinite(guidance) and guidance >= 0):
            raise ValueError(f"guidance={guidance}: it must be a number of at least 0")
        if size is not None and min(size) < 1:
            raise ValueError(f"size={size}: a picture has at least one pixel on each side")

    def _checked_length(self, prompt: str, truncate: bool, named: str = "prompt") -> int:
        """Tokens of a prompt; it is not empty and, unless it may be truncated, short enough to be read to its end."""
        if not prompt.strip():
            raise ValueError(f"a picture needs a {named} that is not empty")
        length = self.count_prompt_tokens(prompt)
        if not truncate and self.max_prompt_tokens is not None and length > self.max_prompt_tokens:
            raise ValueError(
                f"the {named} has {length} tokens and {self.name} reads {self.max_prompt_tokens}; its end would have no effect"
            )
        return length

    def _view(self, taken: Callable[[int, int, Callable[[], torch.Tensor]], None] | None) -> Any:
        """The pipeline for one drawing: the same weights, but its own copy of all that changes while drawing.

        Schedulers count steps, tokenizers keep their padding and Qwen-Image's autoencoder its features in place, so two drawings
        that shared them would spoil each other. Every pipeline steps through its scheduler, also those that know no callbacks:
        progress is counted there.

        Args:
            taken: called after each step with the steps done, the steps in all, and what gives the latents without noise.
        """
        view: Any = copy.copy(self.pipeline)
        for name, component in self.pipeline.components.items():
            if isinstance(component, PreTrainedTokenizerBase | ProcessorMixin):
                setattr(view, name, copy.deepcopy(component))
            elif name == "vae":
                setattr(view, name, copy.copy(component))  # the features are its attributes, the weights its modules'
        scheduler: Any = copy.deepcopy(view.scheduler)
        view.scheduler = scheduler
        view.set_progress_bar_config(disable=True)
        if taken is not None:
            step, done = scheduler.step, 0
            signature = inspect.signature(step)

            @functools.wraps(step)  # pipelines look at its signature
            def counted_step(*args: Any, **kwargs: Any) -> Any:
                nonlocal done
                given = signature.bind(*args, **kwargs).arguments
                result = step(*args, **kwargs)
                done += 1
                # Image-to-image takes the last of the scheduler's steps only; PixArt alone does not say how many it takes.
                total = getattr(view, "_num_timesteps", len(scheduler.timesteps))
                taken(done, total, lambda: clean_latents(scheduler, given["sample"], given["model_output"], result))
                return result

            scheduler.step = counted_step
        return view


def _execution_device(pipeline: Any) -> torch.device:
    """Where it draws; its weights may wait elsewhere."""
    return pipeline._execution_device


def _by_class(pipelines: Mapping[str, type]) -> dict[type, str]:
    return {pipeline: key for key, pipeline in pipelines.items()}
