"""From a language prompt to a picture.

``image_generator``    any text-to-image pipeline of diffusers behind one ``draw``
``edit``               a change to a picture, by the best way that the generator has
``generation_record``  what made a picture, stored inside its PNG
``draw_again``         the same picture from that record, bit for bit
"""
