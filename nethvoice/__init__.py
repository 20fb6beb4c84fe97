"""NethVoice REST: a declarative provisioning API for FreePBX and Asterisk systems."""

__version__ = "1.0.0"
