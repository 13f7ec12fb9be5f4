"""One package or file per device family; a family is added with one line in `built_in`."""
