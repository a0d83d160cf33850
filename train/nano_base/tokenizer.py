"""The nano's tokenizer: byte-level BPE on the words of the tabletop world, tags cut into single characters.

python train/nano_base/tokenizer.py build/nano_base/language_model
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from minigemini.tabletop.conversations import random_conversation

VOCABULARY = 1024
# One piece each: the role names, the drawing markers (ordinary text, only kept whole), words, and every other character alone, so
# that the tag K7 is two pieces and stays spellable.
PIECES = r" ?ASSISTANT:|USER:| ?</?h>| ?<GEN>| ?[A-Za-z][a-z]+| ?[A-Za-z0-9]|\s| ?[^\sA-Za-z0-9]"


def texts(conversations: int = 20_000) -> Iterator[str]:
    rng = random.Random(0)
    for _ in range(conversations):
        for turn in random_conversation(rng):
            yield f"USER: {turn.text} ASSISTANT: {turn.answer}"
        yield "the picture shows nothing."


def main(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = (Path(__file__).parent / "chat_template.jinja").read_text().rstrip("\n")
    fast.save_pretrained(folder)
    print(f"{len(fast)} pieces in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
