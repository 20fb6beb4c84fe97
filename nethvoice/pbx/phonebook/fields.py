"""The columns of a contact that a source may fill."""

FIELDS = (
    "cellphone",
    "company",
    "fax",
    "homecity",
    "homecountry",
    "homeemail",
    "homephone",
    "homepob",
    "homepostalcode",
    "homeprovince",
    "homestreet",
    "name",
    "notes",
    "owner_id",
    "title",
    "url",
    "workcity",
    "workcountry",
    "workemail",
    "workphone",
    "workpob",
    "workpostalcode",
    "workprovince",
    "workstreet",
)
"""In the order in which clients get them."""
