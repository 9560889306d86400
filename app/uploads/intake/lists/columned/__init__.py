"""Lists whose lines are columns, keyed by a picture or by a number that another list gives it.

CUB's `images.txt` and `image_class_labels.txt`, CelebA's attributes and partition, the lists of
Oxford's pets, of FGVC's aircraft and of Tiny ImageNet. `parsing` reads the lines, `meaning` asks
what their columns say, `class_names` what numbers of classes mean, and `related` puts together what
several say of the same pictures. What is not understood says why.
"""

from app.uploads.intake.lists.columned.related import RelatedLists

__all__ = ["RelatedLists"]
