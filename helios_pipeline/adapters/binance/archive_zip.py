"""The one CSV inside an archive zip."""

import io
import zipfile
import zlib

from helios_pipeline.core.errors import DataError


def unzip_csv(content: bytes, *, name: str) -> bytes:
    """The bytes of the CSV in a zip.

    Args:
        content: the zip.
        name: its name `X.zip`; it has to hold `X.csv` and nothing else.

    Raises:
        DataError: no zip, another member than expected, or a member whose content does not match its CRC.
    """
    expected = name.removesuffix(".zip") + ".csv"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.namelist() != [expected]:
                raise DataError(
                    f"{name}: expected one member {expected}, found {', '.join(archive.namelist()) or 'none'}. "
                    "The source published another file under this name."
                )
            return archive.read(expected)
    # A damaged header may ask for a compression that nobody knows, or for a password: both are a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(
            f"{name}: expected a readable zip, found a damaged one ({error}). Delete it and run again; if that "
            "repeats, the source itself is damaged."
        ) from error
