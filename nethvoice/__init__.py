"""NethVoice REST: a declarative provisioning API for FreePBX and Asterisk systems."""

import warnings

__version__ = "1.0.0"

# Connexion imports Starlette's test client, which warns every operator about its own future.
warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
