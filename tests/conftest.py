"""What all tests share: hypothesis tries the same examples in every run; new ones are tried by `make fuzz`."""

from hypothesis import settings

settings.register_profile("derandomised", derandomize=True)
settings.load_profile("derandomised")
