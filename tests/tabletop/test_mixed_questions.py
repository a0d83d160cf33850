"""Conversations of every form, the same each time."""

from minigemini.conversation import images_of, to_json
from minigemini.tabletop.mixed_questions import mixed_questions

PICTURES = {"two pictures": 2, "picture after picture": 2, "no picture": 0}


def test_every_kind_shows_as_many_pictures_as_it_says():
    found = mixed_questions(3)
    assert len(found) == 11
    for kind, conversations in found.items():
        assert len(conversations) == 3
        for messages in conversations:
            assert messages[-1].role == "user"
            assert messages[-1].text
            assert len(images_of(messages)) == PICTURES.get(kind, 1)
    assert [len(messages) for messages in found["picture after picture"]] == [3, 3, 3]


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others():
    first, again, other = (
        [
            to_json(messages, lambda picture: picture.tobytes().hex())
            for of_kind in mixed_questions(2, seed).values()
            for messages in of_kind
        ]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert not any(messages in other for messages in first[:-2])  # small talk is short of words
