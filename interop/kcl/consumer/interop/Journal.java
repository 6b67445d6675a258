package interop;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;

/** What was processed, one line each, in the file before the next checkpoint. */
final class Journal {
    private final Writer out;

    Journal(Path path) throws IOException {
        out = Files.newBufferedWriter(path);
    }

    /** Words of one line; none of them holds a blank. */
    synchronized void write(Object... words) {
        try {
            for (Object word : words) {
                out.write(word.toString());
                out.write(' ');
            }
            out.write('\n');
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }

    synchronized void flush() {
        try {
            out.flush();
        } catch (IOException failed) {
            throw new UncheckedIOException(failed);
        }
    }
}
