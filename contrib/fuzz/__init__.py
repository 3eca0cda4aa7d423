"""Feed mutated inputs to all code that reads what others wrote.

A guest, another host, an operator or libvirt wrote these inputs.  Targets:

  iso9660   ISO9660 images: volume descriptors, records, Rock Ridge, Joliet
  vfat      VFAT images: boot sector, FATs, entries, long names
  drive     drives whose JSON files, paths and stamps a guest wrote: examined
            against requests, recalled, and rebuilt from what they say
  build     paths and contents that a compute service renders: built in both
            formats, and read back
  instance  instance files, YAML and JSON
  domain    a domain's XML
  notes     what the hosts of a live migration send each other

For every input, a target allows errors of cfgdrive_virt only, limited CPU
time and memory, and error texts that are short, printable and free of the
secrets in the corpus.  It checks accepted inputs too: an image that is read,
rebuilt and read again has the same files; a drive rebuilt from another one is
whole, and about as large; now and then, bsdtar or mtools reads an accepted
image, too.  See the modules in fuzz/targets for all rules.

Mutators know the formats, and seal an image again: with the stamp of its new
files, checks behind the stamp are reached, too.  An input that gives a new
kind of error or result is mutated further.  The corpus is built at the start.
No other fuzzer is used: what coverage-guided ones need to compile isn't
packaged by distributions.

  python contrib/fuzz                       every target, a minute each
  python contrib/fuzz vfat notes --seconds 600 --jobs 2
  python contrib/fuzz --inputs 150000 --seed 7 --findings DIRECTORY
  python contrib/fuzz --replay DIRECTORY/vfat-0123456789abcdef.input

The same seed, target and number of inputs give the same inputs.  A finding is
written to a file and printed.  The exit code is 1 if there is one.
"""

from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parents[2]
