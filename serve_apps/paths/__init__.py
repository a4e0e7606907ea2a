"""The paths of the HTTP interface, a file for each group of them; ``ingress`` puts them together."""
