import os

# Before scikit-learn is imported: without it, its array API checks are skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
