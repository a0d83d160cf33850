"""From a language prompt to a picture.

``image_generator``    any text-to-image pipeline of diffusers behind one ``draw``
``generation_record``  what made a picture, stored inside its PNG
``draw_again``         the same picture from that record, bit for bit
"""
