"""The central phonebook: its sources, their synchronisation, and the LDAP service's settings."""
