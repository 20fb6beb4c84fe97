"""Private instances of real components: MariaDB, Asterisk, OpenLDAP.

Each is a context manager: it starts on a free loopback port in a temporary folder, is ready when
it is entered, and ends exactly the process it started.
"""
