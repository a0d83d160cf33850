"""From a language prompt to a picture.

``image_generator``    any text-to-image pipeline of diffusers behind one ``draw``
``families``           what each family of them is drawn with
``tasks``              its pipelines by what they do
``load_pipeline``      one of them in the memory that there is
``previews``           what a picture looks like while it is being drawn
``edit``               a change to a picture, by the best way that the generator has
``inpaint``            a change to a part of a picture
``generation_record``  what made a picture, stored inside its PNG
``draw_again``         the same picture from that record, bit for bit
"""
