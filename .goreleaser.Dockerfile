# The binary and nothing else: an image to copy it from into one's own, where the commands are that it is to wrap.
FROM scratch
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/with-creds /with-creds
ENTRYPOINT ["/with-creds"]
