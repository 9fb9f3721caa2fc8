"""Effects of sequence variants: what a model predicts of the alternative less of the reference.

- :func:`variant_effect` predicts them, with their deviation where it is known and with intervals
  where measured effects calibrate them.
- :func:`read_vcf` reads variants from a VCF file.
"""

from sklearn_degu.variants.effects import variant_effect
from sklearn_degu.variants.results import VariantEffects
from sklearn_degu.variants.table import Variants
from sklearn_degu.variants.vcf import read_vcf

__all__ = ["VariantEffects", "Variants", "read_vcf", "variant_effect"]
