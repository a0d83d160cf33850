"""From a language prompt to a picture: the markers in the text, decoding that keeps them well formed, the image generator.

``prompt_markers``     pure text: ``<GEN>``, ``<h>..</h>``, and keeping a user's own text from acting as one of them
``prompt_decoding``    a logits processor under which every ``<h>`` is closed, in the length the generator can read
``image_generator``    any text-to-image pipeline of diffusers behind one ``draw``
``generation_record``  what made a picture, stored inside its PNG
``draw_again``         the same picture from that record, bit for bit
"""
