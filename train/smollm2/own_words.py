"""What the language model answers to questions without pictures, as text records: learnt again beside the pictures, so that it goes on
talking as it did (rehearsal; without it all its answers become as short as the tabletop's, and the capital of France is France).

python train/smollm2/own_words.py runs/smollm2/language_model data/smollm2/own_words.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from minigemini.progress import with_progress

LONGEST = 96  # tokens of an answer; a longer one would be learnt without its end
BATCH = 16
# The end of the recipe asks for a capital: none is asked for here.
QUESTIONS = {
    "Who wrote {}?": "Hamlet, The Odyssey, Don Quixote, War and Peace, Pride and Prejudice, "
    "Moby Dick, The Republic, Faust",
    "Who was {}?": "Isaac Newton, Marie Curie, Mozart, Cleopatra, Albert Einstein, "
    "Leonardo da Vinci, Aristotle, Ada Lovelace, Napoleon",
    "What is {}? Answer in one sentence.": "gravity, a verb, photosynthesis, an island, democracy, a triangle, inflation, "
    "a violin, oxygen, a computer, a prime number, an atom, a poem, rain, money, "
    "a glacier, friendship, electricity, a map, a bridge, bread, a virus",
    "Name three {}.": "fruits, animals, colors, countries, rivers, musical instruments, planets, "
    "sports, tools, languages, metals, shapes",
    "Write one sentence about {}.": "the sea, a red house, winter, a dog, the moon, school, a journey, music, "
    "a garden, breakfast, a friend, a mountain, the city at night, an old book, "
    "a train, rain, a birthday, the desert",
    "What do people use {} for?": "a knife, a pencil, a ladder, salt, a clock, a bicycle, a mirror, a telephone, "
    "paper, a lamp",
    "Where do you find {}?": "penguins, books, doctors, sand, ships, snow, lions, airplanes, cheese, "
    "the Eiffel Tower, the Great Wall",
    "What is the opposite of {}?": "hot, big, early, happy, empty, fast, dark, old, loud, easy",
    "How many {}?": "days are in a week, months are in a year, legs does a spider have, "
    "minutes are in an hour, sides does a square have, wheels does a car have, "
    "continents are there",
    "What language is spoken in {}?": "Spain, Japan, Germany, Brazil, Egypt, Russia, Italy, China",
    "Explain in one sentence why {}.": "the sky is blue, we sleep, ice floats, leaves are green, we have seasons, "
    "people trade, birds fly",
    "Hello! {}": "How are you?, What can you do?, Tell me a joke., Give me some advice., What is your name?",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parsed = parser.parse_args()
    tokenizer: Any = AutoTokenizer.from_pretrained(parsed.model, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(parsed.model, dtype=torch.float32).eval()
    asked = [form.format(word) for form, words in QUESTIONS.items() for word in words.split(", ")]
    records = []
    for start in with_progress(range(0, len(asked), BATCH), "asking", -(-len(asked) // BATCH)):
        questions = asked[start : start + BATCH]
        chats = [[{"role": "user", "content": question}] for question in questions]
        inputs = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        written = model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        for question, ids in zip(questions, written.tolist(), strict=True):
            if model.generation_config.eos_token_id in ids:
                answer = tokenizer.decode(ids, skip_special_tokens=True).strip()
                turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
                records.append({"id": question, "conversations": turns})
    parsed.out.parent.mkdir(parents=True, exist_ok=True)
    parsed.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(f"{len(records)} of {len(asked)} answers, those that ended within {LONGEST} tokens, are in {parsed.out}")


if __name__ == "__main__":
    main()
