"""cognitofs: the part of an S3 bucket that belongs to a signed-in Cognito user, as a directory."""

__version__ = "0.1.0"
