"""The LDAP phonebook: the central phonebook as phones search it (LDAPv3, RFC 4511, read-only)."""
