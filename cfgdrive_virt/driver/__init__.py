"""The hooks that a compute service calls, and all that they are made of."""
