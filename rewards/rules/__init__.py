"""The built-in rules, one file each; `rewards/rules.yaml` says which data_source gets which."""
