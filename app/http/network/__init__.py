"""What lies between a client and the service: proxies that tell of it, browsers that ask first."""
