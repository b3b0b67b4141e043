"""The parts of a gateway, each made of the settings that call for it; app.py puts them together."""
