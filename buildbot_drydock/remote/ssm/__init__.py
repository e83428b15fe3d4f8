"""An instance as a host, reached by Run Command of AWS Systems Manager, which needs no open port."""
