// Excerpts of search results are read from the pages, which browsers allow on a server but not from a folder.
DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== "file:";
