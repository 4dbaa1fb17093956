"""What `corpus/record` is made of: a network of namespaces, the services and habits of its devices, the behaviours."""
